// Package injection judges whether a message carries instructions for the machine
// that reads it. An agent that reads mail cannot tell a sender's wish from its
// owner's, and so whoever can write to it can try to steer it: have it forward the
// inbox, approve a payment, remember a lie. Spam and phishing are another question;
// they address people.
//
// A message is judged in steps, each of which is deterministic and bounded:
//
//   - It is taken apart into texts, each with its [View]: the subject, what a person
//     is shown, what only a program sees, attachments, file names (walk.go, html.go,
//     archive.go).
//   - Each text is normalised into words: characters without a glyph, alphabets that
//     look alike, spaced letters and digits for letters are undone, and what is
//     encoded is decoded and judged in turn (words.go, decode.go).
//   - Words become hashed features, and mark the slots of a request: who is
//     addressed, which act, on what, how it hides, by what right (features.go,
//     lexicon.go).
//   - A [Model] weighs windows of forty words; the worst one decides (model.go).
//   - A rule of form sets a floor that nothing averages away (rule.go).
//
// The [Result] is explained by reasons from a closed list and by evidence that has
// places and digests and no text. See cmd/injection-train for how the model is made.
package injection
