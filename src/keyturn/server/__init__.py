"""The programs that run Keyturn by themselves. So far: the demonstration that ``keyturn demo`` shows."""
