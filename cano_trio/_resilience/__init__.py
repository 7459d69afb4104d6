"""Retry policy, circuit breaker, rate limiters: rules as values, and the live objects that hold to them."""

from .backoff import Backoff as Backoff
from .circuit import CircuitBreaker as CircuitBreaker
from .circuit import Permit as Permit
from .circuit_policy import CircuitPolicy as CircuitPolicy
from .circuit_policy import CircuitState as CircuitState
from .circuit_policy import CircuitStatistics as CircuitStatistics
from .limiter import Limiter as Limiter
from .limiter import LimiterStatistics as LimiterStatistics
from .limiter import is_limiter as is_limiter
from .matching import RetryOn as RetryOn
from .matching import is_transient as is_transient
from .matching import kinds_of as kinds_of
from .matching import matcher as matcher
from .matching import matches as matches
from .multi import MultiRateLimiter as MultiRateLimiter
from .multi import MultiStatistics as MultiStatistics
from .multi import Tier as Tier
from .rate_limit import RateLimiter as RateLimiter
from .reservation import Reservation as Reservation
from .retry import Retry as Retry
from .windowed import WindowedRateLimiter as WindowedRateLimiter
