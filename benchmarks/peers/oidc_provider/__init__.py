"""The oidc-provider of npm, with a grant for passwords so that a program can sign users in."""
