package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"log"
	"net/netip"
	"time"

	"postern/storage/audit"
)

// rows is the least that a store has to keep.
type rows struct{ events []audit.Entry }

func (r *rows) Tile(int, uint64) ([]byte, error) {
	return nil, errors.New("the log is too short for a tile")
}

func (r *rows) Leaves(from, to uint64) (hashes []byte, err error) {
	for _, e := range r.events[from:to] {
		h := audit.LeafHash(e.Canonical)
		hashes = append(hashes, h[:]...)
	}
	return hashes, nil
}

func (r *rows) Events(from, to uint64) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		for _, e := range r.events[from:to] {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (r *rows) Checkpoints(uint64, uint64) iter.Seq2[string, error] {
	return func(func(string, error) bool) {}
}

// A log is written, a checkpoint is signed, an export is made. Then somebody back-dates an event in the export.
func Example() {
	private, public, err := audit.NewSigner("mail.example.com/audit")
	if err != nil {
		log.Fatal(err)
	}
	signer, err := audit.OpenSigner(private)
	if err != nil {
		log.Fatal(err)
	}
	store := new(rows)
	tree, err := audit.NewTree(0, nil, store)
	if err != nil {
		log.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for _, subject := range []string{"Your invoice", "Re: Your invoice", "Last reminder"} {
		e := audit.Event{
			Verb: audit.MessageReceived, Outcome: audit.OK,
			Actor:    audit.Actor{Kind: audit.Stranger, Network: netip.MustParseAddr("192.0.2.25")},
			Fields:   audit.Fields{audit.Int(audit.KeySize, 2048)},
			Personal: audit.Fields{audit.Text(audit.KeySubject, subject)},
		}
		if err := e.Stamp(now); err != nil {
			log.Fatal(err)
		}
		if err := e.Check(); err != nil {
			log.Fatal(err)
		}
		x := audit.Entry{Seq: tree.Size(), Canonical: e.Canonical(), Personal: e.PersonalBytes()}
		store.events = append(store.events, x)
		tree.Append(audit.LeafHash(x.Canonical))
		now = now.Add(time.Minute)
	}
	note, err := audit.Checkpoint{Size: tree.Size(), Root: tree.Root(), Time: now}.Sign(signer)
	if err != nil {
		log.Fatal(err)
	}

	var bundle bytes.Buffer
	if err := audit.WriteBundle(&bundle, store, audit.Export{From: 0, To: 3, Checkpoint: note}); err != nil {
		log.Fatal(err)
	}
	honest := bundle.Bytes()
	edited := bytes.Replace(honest, []byte("09:01:00"), []byte("08:01:00"), 1)
	for _, b := range [][]byte{honest, edited} {
		report, err := audit.VerifyBundle(bytes.NewReader(b), audit.VerifyOptions{PublicKey: public})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(report.Events, "events, ok:", report.OK())
		for _, p := range report.Problems {
			fmt.Println(p)
		}
	}
	// Output:
	// 3 events, ok: true
	// 3 events, ok: false
	// event 1 (line 3): the readable text differs from what was recorded
}
