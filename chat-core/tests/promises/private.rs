//! **private**: who is no member learns and changes nothing, and nobody learns who is blocked.
