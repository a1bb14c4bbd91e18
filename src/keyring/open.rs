//! Opening a keyring: the generations, unwrapped by their root keys.
