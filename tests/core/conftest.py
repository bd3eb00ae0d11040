"""How long Hypothesis looks: ``--hypothesis-profile fuzz`` for a long search."""

from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, max_examples=400)
settings.register_profile(
    "fuzz",
    deadline=None,
    max_examples=50_000,  # on each back end
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
