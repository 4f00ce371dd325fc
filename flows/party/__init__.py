"""The party's home: how a hospital joins, decides what may run, and keeps its worker going."""
