package schema

// FieldError says what is wrong with one field.
type FieldError struct {
	Field   string // path with dots inside the document; empty: the document itself
	Message string
}

func (e FieldError) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}
