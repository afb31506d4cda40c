"""The last that a process imports which others are forks of.

A collection in a fork would copy all that it looks at; what tests write outlives no power cut.
"""

import gc
import os

gc.freeze()
os.fsync = lambda descriptor: None
