package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"time"
)

// Client speaks with the server at a control socket. It is safe for concurrent
// use. Errors are *Error, or those of the function given to AsFound.
type Client struct {
	path     string
	session  func() (token string, err error) // nil: the Unix user
	watching bool                             // what is asked is no use of the session
	http     *http.Client
}

// maxRow bounds a line of a list: an event with all its recipients.
const maxRow = 16 << 20

// NewClient makes a client. Nothing is dialled yet.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}}
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// post sends a command and returns the answer when it is no refusal.
func (c *Client) post(ctx context.Context, name string, q any) (*http.Response, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, &Error{Code: Failed, Message: err.Error(), cause: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://postern/"+name, bytes.NewReader(body))
	if err != nil {
		return nil, &Error{Code: Failed, Message: err.Error(), cause: err}
	}
	req.Header.Set("Content-Type", "application/json")
	if c.session != nil {
		token, err := c.session()
		if err != nil {
			return nil, err
		}
		if token != "" {
			req.Header.Set(SessionHeader, token)
		}
	}
	if c.watching {
		req.Header.Set(WatchHeader, "1")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var refused struct{ Error *Error }
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRow)).Decode(&refused); err != nil || refused.Error == nil {
		return nil, &Error{Code: Failed, Message: fmt.Sprintf("the server answered %s and did not say why", resp.Status)}
	}
	return nil, refused.Error
}

// unreachable says why there was no answer.
func (c *Client) unreachable(ctx context.Context, err error) error {
	var op *net.OpError
	switch {
	case ctx.Err() != nil:
		return &Error{Code: Interrupted, Message: "interrupted", cause: ctx.Err()}
	case errors.As(err, &op) && op.Op == "dial":
		return &Error{Code: Unreachable, Message: fmt.Sprintf("no server answers at %s: %v", c.path, op.Err), cause: err}
	}
	return &Error{Code: Interrupted, Message: fmt.Sprintf("the server hung up: %v", errors.Unwrap(err)), cause: err}
}

// ask sends a command that has one answer.
func ask[Q, A any](ctx context.Context, c *Client, name string, q Q) (a A, err error) {
	resp, err := c.post(ctx, name, q)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return a, &Error{Code: Interrupted, Message: "the answer of the server is not complete", cause: err}
	}
	return a, nil
}

// rows sends a command whose answer is a list, and yields it as it comes. The
// sequence ends at its first error.
func rows[Q, R any](ctx context.Context, c *Client, name string, q Q) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		var none R
		resp, err := c.post(ctx, name, q)
		if err != nil {
			yield(none, err)
			return
		}
		defer resp.Body.Close()
		in := bufio.NewScanner(resp.Body)
		in.Buffer(make([]byte, 64<<10), maxRow)
		for in.Scan() {
			var row R
			if err := json.Unmarshal(in.Bytes(), &row); err != nil {
				yield(none, &Error{Code: Failed, Message: "the server wrote a line that is no row", cause: err})
				return
			}
			if !yield(row, nil) {
				return
			}
		}
		if err := ended(resp, in.Err()); err != nil {
			yield(none, err)
		}
	}
}

// download writes what a command streams to w. What came before a failure is there.
func download(ctx context.Context, c *Client, name string, q any, w io.Writer) error {
	resp, err := c.post(ctx, name, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return ended(resp, err)
}

// ended says how an answer that was streamed ended: well only when it was read
// to its end and the trailer names no error.
func ended(resp *http.Response, err error) error {
	if err != nil {
		return &Error{Code: Interrupted, Message: fmt.Sprintf("the answer ended in the middle: %v", err), cause: err}
	}
	text := resp.Trailer.Get(trailerOfFail)
	if text == "" {
		return nil
	}
	failed := &Error{}
	if json.Unmarshal([]byte(text), failed) != nil {
		failed = &Error{Code: Failed, Message: "the server failed in the middle of the answer"}
	}
	return failed
}
