package metrics

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"postern/server/httpd"
)

// Probe answers nil when something is so. What the error says goes to nobody.
type Probe func(ctx context.Context) error

// Door answers programs over plain HTTP:
//
//	GET /metrics          all numbers, in the text exposition format
//	GET /healthz/live     200 while the process works, else 503
//	GET /healthz/ready    200 while the server takes mail, else 503
//
// Who asks is not asked who they are: the listener says who may.
type Door struct{ http *http.Server }

// Bounds of a conversation.
const (
	headTime  = 5 * time.Second
	writeTime = 30 * time.Second
	idleTime  = 2 * time.Minute
	maxHead   = 8 << 10 // bytes
	probeTime = 4 * time.Second
)

// NewDoor makes a door. Serve it on a listener.
func NewDoor(set *Set, live, ready Probe, log *slog.Logger) *Door {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", set.Handler())
	mux.HandleFunc("GET /healthz/live", answerProbe(live, "live"))
	mux.HandleFunc("GET /healthz/ready", answerProbe(ready, "ready"))
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Door{&http.Server{
		Handler: plain(mux), ReadHeaderTimeout: headTime, ReadTimeout: headTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHead, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
}

// plain keeps browsers from making more of an answer than a text, and from keeping it.
func plain(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func answerProbe(probe Probe, word string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), probeTime)
		defer cancel()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		text := word
		if probe(ctx) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			text = "not " + word
		}
		io.WriteString(w, text+"\n")
	}
}

// Serve answers until Shutdown; then it returns nil.
func (d *Door) Serve(l net.Listener) error { return httpd.Serve(d.http, l) }

// Shutdown stops accepting, waits for answers under way until the context is done,
// and then cuts them.
func (d *Door) Shutdown(ctx context.Context) error { return httpd.Shutdown(ctx, d.http) }
