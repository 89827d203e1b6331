/* terminal - what this process knows of the user's terminal. */
#ifndef DIPS_LAUNCH_TERMINAL_H
#define DIPS_LAUNCH_TERMINAL_H

/* Columns of the terminal that standard error is; 0 where it is none. */
int terminal_columns(void);

#endif
