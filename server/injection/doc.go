// Package injection judges whether a message carries instructions for the machine
// that reads it. An agent that reads mail cannot tell a sender's wish from its
// owner's, and so whoever can write to it can try to steer it: have it forward the
// inbox, approve a payment, remember a lie. Spam and phishing are another question;
// they address people.
//
// A message is judged in steps, each of which is deterministic and bounded:
//
//   - It is taken apart into texts, each with its [View]: the subject, what a person
//     is shown, what only a program sees, attachments, file names (walk.go, header.go,
//     page.go, file.go and what these call). Where programs disagree on how to read
//     a part, it is read in each way.
//   - Each text is normalised into words: characters without a glyph, alphabets that
//     look alike, spaced letters and digits for letters are undone, and what is
//     encoded is decoded and judged in turn (words.go, decode.go).
//   - Words become hashed features (features.go), and name concepts of a request, the
//     same in forty languages: a machine, an act, a secret, a right (glossary.go,
//     lexicon.go). What a sentence opens with, and how it ends, tells who orders from
//     who reports (sentence.go). What a window shows twice counts once (places.go).
//   - A [Model] weighs windows of forty words by what they name and by their words;
//     the worst one decides (model.go).
//   - A rule of form sets a floor that nothing averages away (rule.go,
//     alternative.go).
//
// A picture, a sound, a film, a font and a signature have no words for who reads mail
// and are passed over; what is written in a picture is beyond this package. A file of
// an unknown type, an encrypted one, and whatever lies over a bound are noted, and a
// message that is clean as far as it was read is then [Partial].
//
// The work grows with the message and not faster: a text is judged in pieces, each of
// its bytes is looked at a bounded number of times, and what archives and decodings
// give is limited by the size of the message. Of a text that is longer than a bound,
// beginning and end are read, so that padding hides nothing in either.
//
// The [Result] is explained by reasons from a closed list and by evidence that has
// places and digests and no text. See cmd/injection-train for how the model is made.
package injection
