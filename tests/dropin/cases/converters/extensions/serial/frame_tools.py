"""What others here import, and what imports one of them."""
import thingsboard_gateway.extensions.serial.sibling_bare as user


def checked(data):
    return sum(data) % 256


def is_same(thing):
    return isinstance(thing, user.BareConverter)
