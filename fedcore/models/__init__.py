"""Which network is trained: a name becomes a module, a module becomes named arrays and back.

`predictor` may be imported where torch is not installed; the other modules stand on torch. So
this file imports none of them.
"""
