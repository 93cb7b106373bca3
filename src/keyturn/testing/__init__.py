"""What an application that uses Keyturn tests itself with. Imports no framework until one of its names is used."""
