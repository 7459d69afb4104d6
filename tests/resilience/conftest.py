"""Hypothesis seeds the jitter of every example, so that a failing one fails again."""

import hypothesis

from cano_trio._resilience.retry import jitter_source

hypothesis.register_random(jitter_source)
