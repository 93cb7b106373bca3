"""HTTP, decided on two values and once for all frameworks: credentials, forgery, guard, replies, routes, endpoints."""
