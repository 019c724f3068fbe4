"""What `serialgw backup` keeps and `serialgw restore` brings back."""
