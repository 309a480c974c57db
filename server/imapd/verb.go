package imapd

// A verb is the name of a command, and what the guard does about it.
type verb uint8

const (
	verbNone  verb = iota // not one of ours
	verbOther             // needs no care beyond its framing
	verbCapability
	verbID
	verbLogin
	verbAuthenticate
	verbStartTLS
	verbIdle
	verbAppend
	verbSearch
	verbLogout
)

// A grant says what the guard must know about a command before it reads its arguments.
type grant struct {
	verb     verb
	stranger bool // allowed before authentication
}

// grants lists every command that is served. What is not here never reaches the library: UNAUTHENTICATE, because a
// session belongs to one credential; STARTTLS and COMPRESS, because the connection is TLS from its first byte and
// compression beside secrets leaks them.
var grants = map[string]grant{
	"CAPABILITY":   {verbCapability, true},
	"NOOP":         {verbOther, true},
	"LOGOUT":       {verbLogout, true},
	"ID":           {verbID, true},
	"LOGIN":        {verbLogin, true},
	"AUTHENTICATE": {verbAuthenticate, true},
	"STARTTLS":     {verbStartTLS, true}, // answered by the guard

	"ENABLE":      {verb: verbOther},
	"SELECT":      {verb: verbOther},
	"EXAMINE":     {verb: verbOther},
	"CREATE":      {verb: verbOther},
	"DELETE":      {verb: verbOther},
	"RENAME":      {verb: verbOther},
	"SUBSCRIBE":   {verb: verbOther},
	"UNSUBSCRIBE": {verb: verbOther},
	"LIST":        {verb: verbOther},
	"LSUB":        {verb: verbOther},
	"NAMESPACE":   {verb: verbOther},
	"STATUS":      {verb: verbOther},
	"APPEND":      {verb: verbAppend},
	"IDLE":        {verb: verbIdle},
	"CHECK":       {verb: verbOther},
	"CLOSE":       {verb: verbOther},
	"UNSELECT":    {verb: verbOther},
	"EXPUNGE":     {verb: verbOther},
	"SEARCH":      {verb: verbSearch},
	"FETCH":       {verb: verbOther},
	"STORE":       {verb: verbOther},
	"COPY":        {verb: verbOther},
	"MOVE":        {verb: verbOther},
	"UID FETCH":   {verb: verbOther},
	"UID STORE":   {verb: verbOther},
	"UID SEARCH":  {verb: verbSearch},
	"UID COPY":    {verb: verbOther},
	"UID MOVE":    {verb: verbOther},
	"UID EXPUNGE": {verb: verbOther},
}
