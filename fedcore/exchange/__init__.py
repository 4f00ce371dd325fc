"""Where the parties meet: write-once objects in a bucket or folder, and what is put into them."""
