package report

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/dns"
	"postern/server/message"
	"postern/server/msgauth"
	"postern/storage"
)

// abreast is how many reports are opened at a time: each may take twice MaxUnpacked
// of memory and more, and a thousand connections could bring one each.
const abreast = 4

// Local is the local part of the address to which reports about a domain go.
const Local = storage.ReportsLocal

// Options are what an office needs beside the store. Resolver and Post are required
// to send, Auth to receive.
type Options struct {
	Auth     *msgauth.Checker
	Resolver dns.Resolver
	// Post prepares a letter for the queue.
	Post func(ctx context.Context, l Letter) (Prepared, error)
	Kick func()           // has the queue look what is due; nil: nothing
	Now  func() time.Time // nil: time.Now
	Log  *slog.Logger     // nil: nothing is logged
}

// Letter is a report on its way to who asked for it. The inbox is that in whose
// name it goes.
type Letter struct {
	Org, Inbox uuid.UUID
	To         message.Path
	MessageID  string
	Data       []byte // a whole message
}

// Prepared is a letter that is ready to be stored. Store runs inside a
// transaction, perhaps more than once; Discard frees what was prepared.
type Prepared struct {
	Store   func(tx *storage.Tx) error
	Discard func()
}

// Office receives and sends reports. It is safe for concurrent use.
type Office struct {
	store *storage.Store
	o     Options

	limits limits
	wake   chan struct{}
	turns  chan struct{} // one for each report that is being opened

	mu    sync.Mutex
	later map[string]time.Time // feedback that could not be sent, and when to try again
}

// New makes an office. Run sends.
func New(store *storage.Store, o Options) *Office {
	if o.Kick == nil {
		o.Kick = func() {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Office{store: store, o: o, wake: make(chan struct{}, 1), turns: make(chan struct{}, abreast), later: map[string]time.Time{}}
}
