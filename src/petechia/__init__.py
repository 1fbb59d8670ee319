"""Petechia: cerebral microbleeds from gradient-echo MRI.

Research use only. Not a medical device.
"""

__version__ = "0.1.0"
