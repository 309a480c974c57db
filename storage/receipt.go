package storage

// Receipt remembers for three days that an inbox got a message that is equal in all
// parts (return path, recipient, Message-ID, digest), and says whether it had
// been seen before in that time.
func (tx *Tx) Receipt(in *Inbox, parts ...[]byte) (seen bool, err error) {
	panic("in the next commit")
}
