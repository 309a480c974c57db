package httpd

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
)

// TestShutdown ends servers: one with nothing under way ends without an error, one whose answer goes on is cut when nobody
// waits any longer, and Serve returns nil of both.
func TestShutdown(t *testing.T) {
	begun := make(chan struct{})
	stuck := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done() // until it is cut
	})}
	idle := &http.Server{Handler: http.NotFoundHandler()}
	ended := make(chan error, 2)
	listen := func(s *http.Server) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { ended <- Serve(s, l) }()
		return "http://" + l.Addr().String()
	}
	at := listen(idle)
	if a, err := http.Get(at); err != nil || a.StatusCode != http.StatusNotFound {
		t.Fatalf("%v", err)
	}
	go http.Get(listen(stuck))
	<-begun
	if err := Shutdown(t.Context(), idle); err != nil {
		t.Errorf("with nothing under way: %v", err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Shutdown(over, stuck); !errors.Is(err, context.Canceled) {
		t.Errorf("with an answer under way: %v", err)
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}
