/** A token of RFC 9110, 5.6.2: what the name of a cookie or a header may be. */
export const TOKEN: RegExp = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
