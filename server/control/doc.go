// Package control is the door for administrators on the same machine: a Unix
// socket between the running server and the command. The server's half and the
// typed client stand side by side, one file for each noun.
//
// # Who may
//
// The socket's file is the lock: its mode is 0660, its group that of its
// directory (which packaging makes setgid for a group of administrators), so
// the kernel decides who gets in. The kernel also says who a peer is
// (SO_PEERCRED, unix(7)), and that Unix user stands as the actor in every event
// that a request leaves. A peer whose credentials cannot be read is refused.
//
// A request may carry the token of a person's session in a header. Then the
// person acts, with the Unix user named beside them, and may do what their roles
// allow. Every command has a kind of act; those reserved for people need a
// session with a second factor. A session that has ended refuses the request: it
// never falls back to the Unix user.
//
// # What is said
//
// One HTTP POST for each command, named noun.verb, with a JSON object each way:
// POST /agent.suspend {"agent":"scout"}. Requests are small, strict and bounded.
// What may be long comes as one JSON object a line, as it is read, so that
// neither side holds all of it; an error in the middle stands in the trailer. A
// refusal is an [Error] with a code from a closed list, which the command turns
// into its exit status.
//
// # What it does not do
//
// It decides nothing. Handlers translate and call the same functions of
// directory, queue and storage that the panel calls, and these record the events.
package control
