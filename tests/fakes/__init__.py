"""Stand-ins for what lies outside: servers, models, stores; each is the real thing made small, or scripted."""
