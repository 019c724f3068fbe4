"""What somebody who means harm, or bad luck, does to a gateway: each fault that was found, and its siblings."""
