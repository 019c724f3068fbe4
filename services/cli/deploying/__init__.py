"""What `serialgw deploy` prints: the files by which others start a gateway, made for one configuration."""
