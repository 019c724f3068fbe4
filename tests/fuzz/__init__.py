"""Hours of what nobody means to send: each module has `fuzz(seconds, seed)`, which ends with a summary or a failure.

`make fuzz KIND=lines SECONDS=600`, or all kinds one after the other; a failure names its seed.
"""
