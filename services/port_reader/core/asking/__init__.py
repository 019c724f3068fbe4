"""What the port reader asks by itself: whose turn it is, the steps of a question, and what is answered to a device.

Nothing here is loaded for a line whose devices are asked nothing.
"""
