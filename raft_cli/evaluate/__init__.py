"""Did it help, by how much, and for the right reason?"""
