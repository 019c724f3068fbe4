"""What `serialgw doctor` looks at. It opens no port, writes nothing, and needs no gateway that runs."""
