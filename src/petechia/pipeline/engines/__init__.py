"""Engines that carry scans to workers. To add one: write its module, add its row here."""

from petechia.core.methods import Method

METHODS: dict[str, Method] = {}
