package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"postern/server/message"
	"postern/server/rendition"
	"postern/storage"
)

// Rendition is what the safe view shows of a message, made ready outside of a
// transaction. // CO-6
type Rendition struct {
	stage *storage.Stage
	about storage.Rendition
}

// Render makes the rendition of a message as its mailbox shows it: overlay is the one of
// the copy and structure that of the view, both in binary.
func Render(store *storage.Store, body io.ReaderAt, size int64, overlay, structure []byte) (*Rendition, error) {
	o, err := message.DecodeOverlay(overlay)
	if err != nil {
		return nil, errors.Join(storage.ErrCorrupt, err)
	}
	s, err := message.DecodeStructure(structure)
	if err != nil {
		return nil, errors.Join(storage.ErrCorrupt, err)
	}
	shown, err := rendition.Render(rendition.Source{View: o.View(body, size), Structure: s, Block: int64(len(o.Prefix))})
	if err != nil {
		return nil, err
	}
	r := &Rendition{stage: store.Stage()}
	if _, err = r.stage.Write(shown); err == nil {
		err = r.stage.Finish()
	}
	if err != nil {
		r.Discard()
		return nil, err
	}
	r.about = storage.Rendition{
		Version: rendition.Version, SHA256: r.stage.SHA256(), Overlay: message.Overlay{}.AppendBinary(nil),
		Structure: message.Parse(bytes.NewReader(shown), int64(len(shown))).AppendBinary(nil),
	}
	return r, nil
}

// In makes the rendition's body part of a transaction; once for each run of its function.
func (r *Rendition) In(tx *storage.Tx) (storage.Rendition, error) {
	about := r.about
	var err error
	about.Body, err = tx.AddBody(r.stage)
	return about, err
}

// Discard frees what the rendition holds, as that of a stage does.
func (r *Rendition) Discard() { r.stage.Discard() }

// render makes the rendition of a message on its way in, if a credential with the safe
// view reads one of its inboxes. A long one, which would lie in a file of its own, is left
// to the first who asks for it.
func (in *Inbound) render(ctx context.Context, m *mail) error {
	for i := range m.to {
		safe, err := in.store.ReadsSafe(ctx, m.to[i].record.ID)
		if err != nil {
			return err
		}
		m.to[i].safe = safe
		if !safe || m.rendition != nil {
			continue
		}
		r, err := Render(in.store, m.source, m.source.size, m.overlay, m.view)
		if err != nil {
			return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
		}
		if !r.stage.Small() {
			r.Discard()
			return nil
		}
		m.rendition = r
	}
	return nil
}

// show is the rendition of a recipient's copy; all copies share its body.
func (m *mail) show(tx *storage.Tx, t target) (*storage.Rendition, error) {
	if !t.safe || m.rendition == nil {
		return nil, nil
	}
	if m.shown == nil {
		made, err := m.rendition.In(tx)
		if err != nil {
			return nil, err
		}
		m.shown = &made
	}
	return m.shown, nil
}
