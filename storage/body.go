package storage

import "context"

// Body reads the stored bytes of a message: as they were received, without the
// overlay. It holds a file or a copy of the sealed bytes, and no transaction; what it
// reads is opened chunk by chunk. For one goroutine.
type Body struct{}

// OpenBody opens the body of a message that was read with content. ErrNotFound
// when it was expunged meanwhile, ErrCorrupt when what is stored does not open.
func (in *Inbox) OpenBody(ctx context.Context, m *Message) (*Body, error) {
	panic("in the next commit")
}

// ReadAt has the semantics of io.ReaderAt.
func (b *Body) ReadAt(p []byte, off int64) (int, error) { panic("in the next commit") }

// Size is the number of bytes as received.
func (b *Body) Size() int64 { panic("in the next commit") }

// Close frees the file.
func (b *Body) Close() error { panic("in the next commit") }
