"""Keys that another process writes."""

from keyturn.keys import KeyRing


class Written:
    """A key source whose ring is written by somebody else; it notices when it reads again."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = self.written = ring
        self.reads = 0

    def reload(self) -> KeyRing:
        self.reads += 1
        self.ring = self.written
        return self.ring
