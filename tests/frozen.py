"""The last that a process imports which others are forks of: a collection in a fork would copy all that it looks at."""

import gc

gc.freeze()
