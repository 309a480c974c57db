// Package setup founds an installation: it knows how far a server is that no
// configuration file names, and who may go on with it.
//
// # Five steps
//
// A server needs a name and addresses; somebody who keeps a key with which all can be
// opened again; a person who answers for it; a domain; an agent. Each step is done by
// the ordinary command, on the command line or on a page, and is known to be done
// because what it makes is there. A step that is put off is noted as such, and health
// names it. What the first step says is one sealed record ([storage.Setup]), since
// there is no file that the server may write.
//
// # Who may
//
// Until anybody has an account, a person proves that the machine is theirs by a link
// that only who runs it can read: it works once, for half an hour, and gives a session
// that ends with the first account, with the set-up, or after some hours. All links
// that lead nowhere are answered alike, and guesses are slowed by network. // AC-12
//
// # When doors open
//
// Mail is received and handed out as soon as the server has a name, and a person or the
// decision to go without. The roof then wires the server anew; [Guide.Settle] tells it
// to.
package setup
