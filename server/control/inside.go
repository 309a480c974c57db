package control

import (
	"context"
	"io"
	"net/http"
	"net/netip"

	"postern/storage/audit"
)

// doorHere is what events call the control socket.
const doorHere = "control"

// guest is who stands at a door of this process that asks for them.
type guest struct {
	door    string
	network netip.Addr
}

type guestKey struct{}

// Inside makes a client within this process, for another door through which people
// come: what it asks passes the same gates as at the socket, and leaves the same
// events. Nobody stands beside the person there, so that without a session nothing
// is answered but the login. door is its name in events, network where the person
// connected from.
func (s *Server) Inside(door string, network netip.Addr) *Client {
	return &Client{path: door, http: &http.Client{Transport: inside{s, guest{door, network}}}}
}

// inside hands requests to the server without a socket.
type inside struct {
	s  *Server
	by guest
}

// RoundTrip answers as soon as the head of the answer is known; the body is made
// while it is read.
func (t inside) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := context.WithValue(r.Context(), guestKey{}, t.by)
	ctx = context.WithValue(ctx, actorKey{}, audit.Actor{Kind: audit.Stranger, Network: t.by.network})
	body, out := io.Pipe()
	w := &pipeWriter{header: http.Header{}, out: out, begun: make(chan struct{})}
	resp := &http.Response{ProtoMajor: 1, ProtoMinor: 1, Body: body, Trailer: http.Header{}, ContentLength: -1, Request: r}
	go func() {
		t.s.ServeHTTP(w, r.WithContext(ctx))
		w.WriteHeader(http.StatusOK)
		if text := w.header.Get(http.TrailerPrefix + trailerOfFail); text != "" {
			resp.Trailer.Set(trailerOfFail, text) // before the end that the reader sees
		}
		out.Close()
	}()
	select {
	case <-w.begun:
	case <-ctx.Done():
		body.CloseWithError(ctx.Err())
		return nil, ctx.Err()
	}
	resp.StatusCode, resp.Header = w.status, w.sent
	resp.Status = http.StatusText(w.status)
	return resp, nil
}

// pipeWriter is an answer to who reads the other end.
type pipeWriter struct {
	header, sent http.Header
	status       int
	out          *io.PipeWriter
	begun        chan struct{}
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	if w.sent == nil {
		w.status, w.sent = status, w.header.Clone()
		close(w.begun)
	}
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.out.Write(p)
}

// Flush has nothing to do: what was written was read.
func (w *pipeWriter) Flush() {}
