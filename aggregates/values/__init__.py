"""Values: what everything else is made of. Immutable, exact, and free of I/O.

Nothing here knows of charges or ledgers. Decimal arithmetic is exact unless a function whose name says
so rounds (`decimals`); money knows its currency's precision (`money`); instants are UTC and whole seconds
and periods half open (`period`); identifiers are distinct types (`identifiers`).
"""
