"""What files written for the ThingsBoard IoT Gateway import, offered under the names that they know.

Only processes that run users' code come in here, by `hook.install`; such code gets the names through the hook.
"""
