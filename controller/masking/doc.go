// Package masking keeps passwords and secrets out of what people and logs see, and puts them back into what they return.
package masking
