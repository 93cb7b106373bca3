"""Two sites in Django, each with one package for sessions; they run in an interpreter of their own, which sees no Keyturn."""
