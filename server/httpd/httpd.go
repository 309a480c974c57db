// Package httpd begins and ends an HTTP server in the way that all doors of a Postern
// do. What net/http leaves to its caller is decided here once: that the end of a server
// which was asked to end is no error, and that who asks waits for answers under way no
// longer than they say.
package httpd

import (
	"context"
	"errors"
	"net"
	"net/http"
)

// Serve answers on a listener of plain TCP until Shutdown; then it returns nil.
func Serve(s *http.Server, l net.Listener) error { return ended(s.Serve(l)) }

// ServeTLS is Serve with the TLS configuration of the server.
func ServeTLS(s *http.Server, l net.Listener) error { return ended(s.ServeTLS(l, "", "")) }

func ended(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown stops accepting on all of the servers, waits for answers under way until the
// context is done, and then cuts them; the error says that some were.
func Shutdown(ctx context.Context, servers ...*http.Server) error {
	var errs []error
	for _, s := range servers {
		if err := s.Shutdown(ctx); err != nil {
			errs = append(errs, err, s.Close())
		}
	}
	return errors.Join(errs...)
}
