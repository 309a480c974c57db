package panel

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/a-h/templ"
)

// events is an answer that goes on: server-sent events (HTML Living Standard,
// section 9.2), each with a part of a page.
type events struct {
	v  *visit
	rc *http.ResponseController
}

// events begins such an answer.
func (v *visit) events() *events {
	rc := http.NewResponseController(v.w)
	rc.SetWriteDeadline(time.Time{})
	rc.SetReadDeadline(time.Time{}) // nothing more is read; without this the request would end with its time to be read
	v.w.Header().Set("Content-Type", "text/event-stream")
	v.w.WriteHeader(http.StatusOK)
	return &events{v, rc}
}

// send sends a part of the page.
func (e *events) send(name string, part templ.Component) error {
	var b bytes.Buffer
	if err := part.Render(e.v.r.Context(), &b); err != nil {
		return err
	}
	fmt.Fprintf(e.v.w, "event: %s\n", name)
	if b.Len() == 0 { // an event without data is none
		fmt.Fprint(e.v.w, "data:\n")
	}
	for line := range bytes.Lines(b.Bytes()) {
		fmt.Fprintf(e.v.w, "data: %s\n", bytes.TrimRight(line, "\r\n"))
	}
	if _, err := fmt.Fprint(e.v.w, "\n"); err != nil {
		return err
	}
	return e.rc.Flush()
}

// cutWithin is how soon a stream ends whose session has: AC-9 allows a second.
const cutWithin = 500 * time.Millisecond

// wait reports whether the page is still open after a while, and its session too:
// what was revoked meanwhile ends the stream. A page that only stays open does not keep
// a session alive. // AC-9
func (e *events) wait(d time.Duration) bool {
	ctx := e.v.r.Context()
	for left := d; left > 0; left -= cutWithin {
		select {
		case <-ctx.Done():
			return false
		case <-e.v.closing:
			return false
		case <-time.After(min(left, cutWithin)):
		}
		if who, err := e.v.c.Watching().Whoami(ctx); err != nil || who.Must != e.v.who.Must {
			return false
		}
	}
	return true
}

// untilStop is the time of a request that goes on, which ends with the server, too: a
// stop does not wait for open pages.
func (v *visit) untilStop() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(v.r.Context())
	go func() {
		defer cancel()
		select {
		case <-v.closing:
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
