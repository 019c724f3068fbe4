"""`serialgw demo`: virtual devices, an MQTT broker, and the gateway between them."""
