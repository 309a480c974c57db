package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/server/acme"
	"postern/server/delivery"
	"postern/server/directory"
	"postern/server/httpd"
	"postern/server/queue"
	"postern/server/report"
	"postern/server/setup"
	"postern/server/webhook"
	"postern/storage"
	"postern/storage/audit"
)

// Bounds of a request.
const (
	maxRequest    = 256 << 10 // bytes of a body: fifty scopes and networks have room
	maxModel      = 4 << 20   // of one that may bring a model along
	maxHead       = 16 << 10  // bytes of a header
	readTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	streamBuffer  = 32 << 10
	trailerOfFail = "Postern-Error"
)

// Config is what the door needs. Store, Directory, Queue, Quarantine, Scorer, Webhooks, Certificates,
// TellOwners, Setup, Invite, FirstMail and Host are required.
type Config struct {
	Store        *storage.Store
	Directory    *directory.Directory
	Queue        *queue.Queue
	Quarantine   *delivery.Quarantine
	Scorer       *delivery.Scorer
	Webhooks     *webhook.Sender
	Certificates *acme.Keeper
	// TellOwners prepares mail about a grant to the owners of the agents that have its
	// inbox.
	TellOwners func(ctx context.Context, g *storage.Glass) (Letters, error)
	Setup      *setup.Guide
	// Invite is where a link for the set-up leads, and the SHA-256 of the certificate
	// that stands there.
	Invite func(link string, ends time.Time) (url, fingerprint string)
	// Shut are the doors for mail that could not be opened: the name of each and why.
	Shut [][2]string
	// FirstMail puts a message of the server's own into an inbox.
	FirstMail func(ctx context.Context, actor audit.Actor, in storage.InboxRecord) error
	// Alive and Takes say whether the server works, and whether it takes mail; errors say
	// why not. Nil: as long as its store does.
	Alive, Takes func(ctx context.Context) error
	Host         string // this server's name, for the records of domains
	Version      string // of the program, for health
	Panel        string // where people find the panel, such as https://mail.example.com:8443; empty: there is none
	// Ladder judges whether a domain may take the next step of its DMARC policy.
	Ladder func(ctx context.Context, d storage.Domain) (report.Rung, error)
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: nothing is logged
}

// Server answers at the control socket.
type Server struct {
	Config
	mux      *http.ServeMux
	http     *http.Server
	commands []string // in the order of their registration
	made     sync.Once
	counted  counted
}

// New makes a Server. Serve it on a listener of [Listen].
func New(c Config) *Server {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Alive == nil {
		c.Alive = c.Store.Writable
	}
	if c.Takes == nil {
		c.Takes = c.Store.Writable
	}
	s := &Server{Config: c, mux: http.NewServeMux()}
	s.http = &http.Server{
		Handler: s, ConnContext: s.introduce, MaxHeaderBytes: maxHead,
		// No write timeout: a list that a person pages through waits for them, and
		// holds no transaction meanwhile.
		ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn),
	}
	return s
}

// ServeHTTP answers one request. The commands are made for the first: a start need not
// wait for them.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.made.Do(s.makeCommands)
	s.mux.ServeHTTP(w, r)
}

func (s *Server) makeCommands() {
	s.mux.HandleFunc("/", unknown)
	for _, noun := range []func(){s.domainCommands, s.dkimCommands, s.inboxCommands, s.agentCommands, s.credentialCommands, s.freezeCommands, s.personCommands, s.queueCommands, s.approvalCommands, s.auditCommands, s.messageCommands, s.listingCommands, s.glassCommands, s.readingCommands, s.capturedCommands, s.healthCommands, s.alertCommands, s.policyCommands, s.webhookCommands, s.reportCommands, s.certificateCommands, s.quarantineCommands, s.allowCommands, s.markCommands, s.evaluateCommands, s.injectionCommands,
		s.setupCommands, s.foundCommands, s.doctorCommands, s.overviewCommands, s.backupCommands} {
		noun()
	}
}

// Serve answers until Shutdown; then it returns nil.
func (s *Server) Serve(l net.Listener) error { return httpd.Serve(s.http, l) }

// Shutdown stops accepting, waits for requests under way until the context is
// done, and then cuts them.
func (s *Server) Shutdown(ctx context.Context) error { return httpd.Shutdown(ctx, s.http) }

// caller is who asks, and for which organization.
type caller struct {
	audit.Actor
	org    uuid.UUID
	door   string                   // through which they come
	unix   string                   // the Unix user, who stands beside a person
	person *directory.PersonSession // nil: the Unix user alone
	// founder: who used the link of a set-up. Until anybody has an account they may do
	// what the Unix user may.
	founder bool
	fresh   bool // the person showed a moment ago who they are
}

type actorKey struct{}

// introduce notes on a new connection who is at its other end.
func (s *Server) introduce(ctx context.Context, c net.Conn) context.Context {
	actor, err := peer(c)
	if err != nil {
		s.Log.Error("a peer of the control socket is not known and will be refused", "error", err)
		return ctx
	}
	return context.WithValue(ctx, actorKey{}, actor)
}

// caller finds out who asks.
func (s *Server) caller(r *http.Request) (caller, error) {
	actor, ok := r.Context().Value(actorKey{}).(audit.Actor)
	if !ok {
		return caller{}, &Error{Code: Failed, Message: "the kernel did not say who you are"}
	}
	org, err := s.Directory.Organization(r.Context())
	if err != nil {
		return caller{}, err
	}
	by := caller{Actor: actor, org: org.ID, door: doorHere, unix: actor.Name}
	if g, ok := r.Context().Value(guestKey{}).(guest); ok {
		by.door = g.door
	}
	return s.person(r, by)
}

// register adds a command.
func (s *Server) register(name string, fn http.HandlerFunc) {
	s.commands = append(s.commands, name)
	s.mux.HandleFunc("POST /"+name, fn)
}

// answer registers a command with one answer.
func answer[Q, A any](s *Server, name string, fn func(ctx context.Context, by caller, q Q) (A, error)) {
	s.register(name, func(w http.ResponseWriter, r *http.Request) {
		by, q, err := request[Q](s, w, r, name)
		if err != nil {
			s.fail(w, name, s.recordReserved(r.Context(), by, name, err))
			return
		}
		a, err := fn(r.Context(), by, q)
		if err != nil {
			s.fail(w, name, s.recordReserved(r.Context(), by, name, err))
			return
		}
		reply(w, http.StatusOK, a)
	})
}

// lines registers a command whose answer is a line for each row.
func lines[Q, R any](s *Server, name string, fn func(ctx context.Context, by caller, q Q, emit func(R) error) error) {
	stream(s, name, func(ctx context.Context, by caller, q Q, w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return fn(ctx, by, q, func(row R) error { return enc.Encode(row) })
	})
}

// urgentLines is lines for rows that nobody can ask for again: each is sent before
// the next is made.
func urgentLines[Q, R any](s *Server, name string, fn func(ctx context.Context, by caller, q Q, emit func(R) error) error) {
	stream(s, name, func(ctx context.Context, by caller, q Q, w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return fn(ctx, by, q, func(row R) error { return errors.Join(enc.Encode(row), w.(*answerWriter).push()) })
	})
}

// stream registers a command whose answer is written as it is made. An error
// before the first byte is an answer like any other; a later one stands in the
// trailer.
func stream[Q any](s *Server, name string, fn func(ctx context.Context, by caller, q Q, w io.Writer) error) {
	s.register(name, func(w http.ResponseWriter, r *http.Request) {
		by, q, err := request[Q](s, w, r, name)
		if err != nil {
			s.fail(w, name, s.recordReserved(r.Context(), by, name, err))
			return
		}
		out := &started{w: w}
		buffered := &answerWriter{bufio.NewWriterSize(out, streamBuffer), out}
		err = s.recordReserved(r.Context(), by, name, fn(r.Context(), by, q, buffered))
		switch {
		case err == nil:
			buffered.Flush()
		case r.Context().Err() != nil: // nobody listens any more
		case !out.begun:
			s.fail(w, name, err)
		default:
			buffered.Flush()
			text, _ := json.Marshal(s.note(name, err))
			w.Header().Set(http.TrailerPrefix+trailerOfFail, string(text))
		}
	})
}

// started notes that bytes of an answer have left.
type started struct {
	w     http.ResponseWriter
	begun bool
}

func (o *started) Write(p []byte) (int, error) {
	if !o.begun {
		o.begun = true
		o.w.Header().Set("Content-Type", "application/jsonl")
	}
	return o.w.Write(p)
}

// answerWriter is an answer that goes out when its buffer is full, or pushed.
type answerWriter struct {
	*bufio.Writer
	out *started
}

// push sends what was written so far.
func (a *answerWriter) push() error {
	if err := a.Flush(); err != nil {
		return err
	}
	return http.NewResponseController(a.out.w).Flush()
}

// request reads who asks and for what, and whether they may.
func request[Q any](s *Server, w http.ResponseWriter, r *http.Request, name string) (by caller, q Q, err error) {
	if by, err = s.caller(r); err != nil {
		return by, q, err
	}
	if err := by.allowed(name); err != nil {
		return by, q, err
	}
	limit := int64(maxRequest)
	if name == "injection.evaluate" || name == "injection.replay" {
		limit = maxModel
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil {
		return by, q, invalid("the request is not what this server understands (%v): command and server may be of different versions", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return by, q, invalid("there is more than one object in the request")
	}
	return by, q, nil
}

// fail answers with an error.
func (s *Server) fail(w http.ResponseWriter, name string, err error) {
	e := s.note(name, err)
	reply(w, e.Code.status(), map[string]*Error{"error": e})
}

// note turns an error into a refusal, and logs what an administrator did not
// cause.
func (s *Server) note(name string, err error) *Error {
	e := refusal(err)
	if e.Code == Failed || e.Code == Unavailable {
		s.Log.Error("a command failed", "command", name, "error", err)
	}
	return e
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(body)
}

func unknown(w http.ResponseWriter, r *http.Request) {
	e := &Error{Code: Invalid, Message: "this server knows no command " + r.Method + " " + r.URL.Path}
	reply(w, http.StatusNotFound, map[string]*Error{"error": e})
}

// page is how many records one short read of a list takes.
const page = 500

// pages emits all records of a list that is read page by page.
func pages[T any](read func(after uuid.UUID) ([]T, error), id func(*T) uuid.UUID, emit func(*T) error) error {
	for after := uuid.Nil; ; {
		records, err := read(after)
		if err != nil {
			return err
		}
		for i := range records {
			if err := emit(&records[i]); err != nil {
				return err
			}
			after = id(&records[i])
		}
		if len(records) < page {
			return nil
		}
	}
}

// None is a request or answer without content.
type None struct{}
