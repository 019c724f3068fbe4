"""What somebody who comes from ThingsBoard's gateway brings along."""
