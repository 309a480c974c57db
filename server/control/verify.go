package control

import (
	"context"
	"encoding/hex"
	"errors"
	"iter"

	"postern/storage"
)

// Verified is how far a verification of the log has come, and in its last row what it
// found.
type Verified struct {
	Checked     uint64      `json:"checked"` // events
	Size        uint64      `json:"size"`    // of the log when it began
	Done        bool        `json:"done"`
	OK          bool        `json:"ok"`
	Root        string      `json:"root,omitempty"` // of the tree of all that was checked, hexadecimal
	Checkpoints int         `json:"checkpoints"`    // that agree
	Problem     string      `json:"problem,omitempty"`
	At          uint64      `json:"at,omitempty"` // the event, or the size of the tree, where that was found
	Signed      *SignedTree `json:"signed,omitempty"`
}

// verifyStep is after how many events a row says how far it has come.
const verifyStep = 50_000

// Verify has the tree of the log computed anew from all events and compared with all
// that was signed. One is under way at a time; that it was done is an event. // AU-7
func (c *Client) Verify(ctx context.Context) iter.Seq2[Verified, error] {
	return rows[None, Verified](ctx, c, "audit.verify", None{})
}

func (s *Server) auditVerify(ctx context.Context, by caller, _ None, emit func(Verified) error) error {
	told := uint64(0)
	found, err := s.Store.Recompute(ctx, by.Actor, by.org, func(done, size uint64) error {
		if done-told < verifyStep {
			return ctx.Err()
		}
		told = done
		return emit(Verified{Checked: done, Size: size})
	})
	if errors.Is(err, storage.ErrRecomputing) {
		return &Error{Code: Busy, Message: "the log is being verified already: wait for that", cause: err}
	}
	if err != nil {
		return err
	}
	v := Verified{Checked: found.Size, Size: found.Size, Done: true, OK: found.Problem == "", Root: hex.EncodeToString(found.Root[:]),
		Checkpoints: found.Checkpoints, Problem: found.Problem, At: found.At}
	if v.Signed, err = s.signedTree(ctx); err != nil {
		return err
	}
	return emit(v)
}
