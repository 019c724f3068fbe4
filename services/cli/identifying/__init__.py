"""Which known device is at a port: what each profile makes of what the line says, and the line itself."""
