"""Sessions for web applications: short access tokens, turning refresh tokens, and logout that works."""
